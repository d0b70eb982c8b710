"""What runs by itself or one after the other: jobs, the schedule, sensors, and turns between runs."""
