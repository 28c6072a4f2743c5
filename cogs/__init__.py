"""Discord features, one file each; everything they need comes in through `bot.client.TurboBot`."""
