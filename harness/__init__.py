"""What runs outside the services and judges them: runtimes, faults, histories, checkers."""
