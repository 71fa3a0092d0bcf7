"""From YAML to a validated ``Experiment``: grids, matching, cost model, hypotheses."""
