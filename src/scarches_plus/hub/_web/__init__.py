"""Talk to servers: requests, retries, tokens, and files that are fetched once and checked."""
