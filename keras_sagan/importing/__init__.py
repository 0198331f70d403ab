"""Networks that other projects trained, as runs: a file a system, of names beside rules.

Nothing that a checkpoint brings is run: of PyTorch's files tensors and numbers alone are read.
"""

import importlib

# The systems, as people type them, and the modules that read their checkpoints.
SYSTEMS = {
    "heykeetae": "heykeetae",
    "attn-gan-pytorch": "attn_gan_pytorch",
    "official": "official",
    "studiogan": "studiogan",
    "mmgeneration": "mmgeneration",
    "biggan-pytorch": "biggan_pytorch",
    "tfa": "tfa",
}

__all__ = ["SYSTEMS", "import_checkpoint"]


def __getattr__(name):
    if name == "import_checkpoint":  # Keras takes seconds to import
        return importlib.import_module("keras_sagan.importing.importer").import_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
