"""How each named change of the workload is made, on a pipeline that was built as the baseline."""
