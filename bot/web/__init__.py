"""What a browser or a monitoring system sees: health, metrics and the live page."""
