"""What a run will take in memory and time, beside what there is: counted and measured before it starts."""
