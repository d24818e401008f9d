"""Write what a job found."""
