"""Hours of mixed load with learning: does memory, do files, does latency grow?"""
