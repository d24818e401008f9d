"""Write what a job found: cells, tables, numbers for the page, the report and the script that repeats it."""
