"""Map many queries: tasks, what does them (processes, or a cluster), records of what is done, and the report.

A task is plain data that travels to a worker; the worker writes the result itself and sends back a row of the table.
"""
