# SPDX-License-Identifier: Apache-2.0
"""event_file.py FOLDER: TensorBoard's own reader finds in FOLDER what tests/train/event_file.cpp wrote."""
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main() -> None:
    run = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
    run.Reload()
    tags = run.Tags()
    names = ["loss", "grad_norm", "rate", "tokens_per_s", "seconds", "data_seconds", "activation/norm/rms",
             "validation/loss", "validation/bits_per_byte"]
    assert sorted(tags["scalars"]) == sorted(names), tags["scalars"]
    losses = run.Scalars("loss")
    # Steps 201 to 250 were written twice: what the first session said of them is dropped.
    assert [one.step for one in losses] == list(range(1, 301)), [one.step for one in losses]
    for one in losses:
        assert math.isclose(one.value, 8 / one.step + (0.5 if one.step > 200 else 0), rel_tol=1e-6), one
    assert [(one.step, one.value) for one in run.Scalars("validation/loss")] == [(100, 2.0), (200, 2.0), (300, 2.5)]
    assert {one.value for one in run.Scalars("activation/norm/rms")} == {0.75}
    assert abs(losses[-1].wall_time - losses[0].wall_time) < 3600
    assert tags["tensors"] == ["sample"], tags["tensors"]
    assert run.SummaryMetadata("sample").plugin_data.plugin_name == "text"
    (sample,) = run.Tensors("sample")
    text = sample.tensor_proto.string_val[0].decode()
    assert (sample.step, text) == (300, 'It "was"\nthe end \ufffd'), (sample.step, text)
    print(f"event_file: {len(losses)} steps, {len(names)} scalars, 1 text")


if __name__ == "__main__":
    main()
