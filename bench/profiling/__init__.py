"""What a network costs, measured as it is trained: FLOPs, speed, memory, energy, end to end."""
