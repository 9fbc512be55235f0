"""dbt-style query files; the same files are documentation, golden inputs and benchmark inputs."""
