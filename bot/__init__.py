"""turbocord: a Discord bot that makes few-step image models feel instant for a whole server."""

__version__ = "0.1.0"
