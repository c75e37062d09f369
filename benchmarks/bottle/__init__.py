"""What the month in a bottle is made of: a clock that can be set, a world, its vendors, a worker, the reckoning."""
