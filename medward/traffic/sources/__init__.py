"""Where packets come from: captures as files and streams, and an interface's ring; each yields `PacketBatch`es."""
