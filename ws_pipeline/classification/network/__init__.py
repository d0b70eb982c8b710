"""The end model as a network: tasks that share modules, their losses, predictions and scores."""
