"""What agents and trainers hold after many transfers, and under many clients."""
