"""The requests of a person: the pipeline.yaml and the run config of the Launchpad, read and checked."""
