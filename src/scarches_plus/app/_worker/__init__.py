"""Work for the page in a process of its own: open references, check queries, run jobs, answer questions."""
