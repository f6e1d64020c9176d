"""Read once by the process that publishers are forked from: MLflow looks through all that is installed."""

from mlflow.utils import requirements_utils

requirements_utils._init_packages_to_modules_map()
