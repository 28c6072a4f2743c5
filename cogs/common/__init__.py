"""What several cogs share: answering interactions and messages, and the options of a request."""
