"""Parts that training plans share: penalties, alternating schedule, means over an epoch."""
