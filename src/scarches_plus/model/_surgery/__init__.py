"""Architecture surgery: strategies, query models, further labels."""
