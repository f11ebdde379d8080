// SPDX-License-Identifier: Apache-2.0
// Where the bodies of functions that are no templates go.
//
// Alone, every header is complete: such functions are inline, and a unit that uses them compiles them. A target with
// `lierne_precompile` gets them from one object file instead (LIERNE_COMPILED), which is compiled once in a build folder
// (LIERNE_COMPILING); its units then see declarations only, and none of the headers that the bodies need: the command
// line, JSON, process groups and autograd's nodes cost more to parse than a typical main.
#pragma once

#if defined(LIERNE_COMPILED) && !defined(LIERNE_COMPILING)
#define LIERNE_BODIES 0
#else
#define LIERNE_BODIES 1
#endif

#if defined(LIERNE_COMPILED)
#define LIERNE_INLINE
#else
#define LIERNE_INLINE inline
#endif
