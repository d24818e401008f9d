"""Share parts among training plans: penalties, alternating schedule, means over an epoch."""
