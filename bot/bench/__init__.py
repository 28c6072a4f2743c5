"""What `turbocord bench` runs: the stock pipelines' way and ours, in turn, on the same weights."""
