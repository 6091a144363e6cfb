"""`perennial bench race`: several learners on one store at once, and the one history they leave."""
