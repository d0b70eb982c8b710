"""Automation: jobs, the schedule, sensors, and turns between runs."""
