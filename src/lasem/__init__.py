"""lasem: lifelong learning with selective layer transfer."""
