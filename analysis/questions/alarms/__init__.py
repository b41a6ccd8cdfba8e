"""What thresholds find and miss, from the stored ranks of scores."""
