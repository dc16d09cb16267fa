"""What the DAGs beside this folder share. Imports Airflow only: a scheduler needs neither `scorer` nor TensorFlow."""
