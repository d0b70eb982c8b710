"""Commands beside running a pipeline: check its files, and make the folder of a new one."""
