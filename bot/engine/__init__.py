"""The drawing engine: a fair queue, a batch joined at any step, one thread per device."""
