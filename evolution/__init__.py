"""The search: settings, engine, selection, noise, budgets, executors and the command line."""
