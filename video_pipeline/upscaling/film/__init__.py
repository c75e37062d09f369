"""What reads and writes film: decoding, frame sizes, encoding, and the stream of frames between them.

The network is reached only through `compute`'s engine. `compute` knows nothing of this room.
"""
