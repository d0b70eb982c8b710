"""What a person asks for: the pipeline.yaml and the run config of the Launchpad, read and checked."""
