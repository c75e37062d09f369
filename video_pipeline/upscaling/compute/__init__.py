"""What computes: networks and their weights, the engine that runs them, number formats, memory and energy.

Pictures come and go as arrays in memory. No file of a film is opened here, and PyAV is not imported.
"""
