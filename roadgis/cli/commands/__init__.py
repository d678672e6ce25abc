"""The commands, one module each; `batch_plan` is a part of `batch`."""
