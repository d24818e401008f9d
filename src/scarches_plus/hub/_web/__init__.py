"""Send HTTP requests with retries and tokens, and fetch files with checksums."""
