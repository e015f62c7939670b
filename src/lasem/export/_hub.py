"""Uploading an exported network to the Hugging Face hub."""

from collections.abc import Sequence
from pathlib import Path

from lasem.errors import RunError
from lasem.extras import require_packages


def push_to_hub(
    files: Sequence[Path],
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Upload files to a repository of the hub, in one commit; the model card becomes its README.md.

    Args:
        files: The files of an export.
        repository: Name of the repository, such as "user/name"; it is made if there is none.
        private: Whether a new repository is private.
        token: Access token; by default the one that `hf auth login` has stored.
        endpoint: Address of the hub; by default the public one, or that of the variable HF_ENDPOINT.

    Returns:
        The address of the commit.

    Raises:
        RunError: The hub refuses, or cannot be reached.
    """
    require_packages("huggingface_hub", what="--push-to-hub")
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=endpoint, token=token)
    operations = [CommitOperationAdd("README.md" if file.suffix == ".md" else file.name, str(file)) for file in files]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message="Add a network exported by lasem")
    except Exception as error:  # the library raises its own errors, those of HTTP and those of the network
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            f"the hub must accept the files for '{repository}' (got {lines[0][:300]}); check the name, the"
            f" connection and the token (hf auth login); the files are in {files[0].parent}"
        ) from error
    return str(commit.commit_url)
