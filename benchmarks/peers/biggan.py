"""github.com/ajbrock/BigGAN-PyTorch with its SAGAN settings, its own modules from a clone.

"as written" is its train_fns.py with the arguments of scripts/launch_SAGAN_bs128x2_ema.sh on one
device, without accumulation. "tuned" has PyTorch's own spectral norm, channels-last and no averaged
copy of the generator; "compiled" adds torch.compile.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lockstep
import torch
from peers import torch_parity, torch_tools
from take_turns import take_turns

SAGAN = """--num_G_accumulations 1 --num_D_accumulations 1 --num_D_steps 1 --G_lr 1e-4 --D_lr 4e-4
--D_B2 0.999 --G_B2 0.999 --G_nl relu --D_nl relu --SN_eps 1e-8 --BN_eps 1e-5 --adam_eps 1e-8
--G_ortho 0.0 --G_init xavier --D_init xavier --ema --use_ema --ema_start 2000 --G_eval_mode"""
UNUSED = (
    *("torchvision", "torchvision.transforms", "torchvision.datasets"),
    *("torchvision.datasets.utils", "PIL", "PIL.Image", "h5py", "scipy", "tqdm"),
)


def prepare(settings):
    """Returns the task that the settings name."""
    sys.path.insert(0, settings["clone"])
    torch.manual_seed(0)
    torch_tools.stand_in(*UNUSED)
    tasks = {
        "train_step": train_step,
        "sample": sample,
        "attention": attention,
        "parity": parity,
    }
    return torch_tools.answer(tasks[settings["task"]](settings))


def config_of(settings):
    """Returns its configuration, as its train.py makes it from arguments."""
    import utils

    if settings["family"] != "resnet" or not settings["classes"]:
        sys.exit("BigGAN-PyTorch has class-conditional ResNets alone")
    attention = "_".join(map(str, settings["attention"] or [0]))
    config = vars(utils.prepare_parser().parse_args(SAGAN.split()))
    config.update(
        G_ch=settings["width"],
        D_ch=settings["width"],
        G_attn=attention,
        D_attn=attention,
        dim_z=settings["latent_dim"],
        batch_size=settings["batch_size"],
        resolution=settings["image_size"],
        n_classes=settings["classes"],
        G_activation=utils.activation_dict[config["G_nl"]],
        D_activation=utils.activation_dict[config["D_nl"]],
    )
    return config


def networks(settings, config):
    """Returns its generator and discriminator on the device, tuned if asked for."""
    import BigGAN

    device = torch_tools.device()
    models = BigGAN.Generator(**config).to(device), BigGAN.Discriminator(**config).to(device)
    if settings["variant"] != "as written":
        for model in models:
            _tune(model.to(memory_format=torch.channels_last))
    for model in models:
        torch_tools.cast_forward(model, settings["precision"])
        if settings["variant"] == "compiled":
            model.compile()
    return models


def _tune(model):
    import layers

    def plain(module):
        if isinstance(module, layers.SNConv2d):
            made = torch.nn.Conv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size,
                module.stride,
                module.padding,
                bias=module.bias is not None,
            )
        elif isinstance(module, layers.SNLinear):
            made = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None)
        else:
            made = torch.nn.Embedding(module.num_embeddings, module.embedding_dim)
        made.load_state_dict(dict(module.named_parameters()))
        return made.to(torch_tools.device(), memory_format=torch.channels_last)

    torch_tools.with_own_spectral_norm(model, lambda m: isinstance(m, layers.SN), plain)


def train_step(settings):
    """One update of each network."""
    import BigGAN
    import train_fns
    import utils

    config = config_of(settings)
    generator, discriminator = networks(settings, config)
    device, batch, size = torch_tools.device(), settings["batch_size"], settings["image_size"]
    images = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    labels = torch.randint(0, settings["classes"], (batch,), device=device)
    if settings["variant"] == "as written":
        state = {"itr": 1}
        average = BigGAN.Generator(**{**config, "skip_init": True, "no_optim": True}).to(device)
        ema = utils.ema(generator, average, config["ema_decay"], config["ema_start"])
        z, y = utils.prepare_z_y(batch, generator.dim_z, config["n_classes"], device=device)
        both = BigGAN.G_D(generator, discriminator)
        train = train_fns.GAN_training_function(
            generator, discriminator, both, z, y, ema, state, config
        )
        return lambda: train(images, labels)
    optimizers = [
        torch.optim.Adam(model.parameters(), rate, betas=(0.0, 0.999), eps=1e-8)
        for model, rate in ((generator, 1e-4), (discriminator, 4e-4))
    ]
    images = images.to(memory_format=torch.channels_last)

    def generate():
        return generator(torch.randn(batch, settings["latent_dim"], device=device), labels)

    def discriminate(x):
        return discriminator(x, labels.repeat(len(x) // batch))

    return torch_tools.hinge_step(
        generate, discriminate, optimizers, (generator, discriminator), images
    )


def sample(settings):
    """A batch of pictures, as uint8 on the host."""
    generator, _ = networks(settings, config_of(settings))
    generator.eval()
    device, batch = torch_tools.device(), settings["batch_size"]

    def generate():
        latent = torch.randn(batch, settings["latent_dim"], device=device)
        labels = torch.randint(0, settings["classes"], (batch,), device=device)
        return generator(latent, generator.shared(labels))

    return torch_tools.sample_task(generate)


def attention(settings):
    """Its attention module on a map."""
    import layers

    if settings["form"] != "final":
        sys.exit("BigGAN-PyTorch pools the keys and values: it has the final form alone")
    module = layers.Attention(settings["shape"][-1]).to(torch_tools.device())
    return torch_tools.attention_task(module, settings)


def parity(settings):
    """The steps of its train_fns.py, each written down: see `parity.py`."""
    import layers

    config = {**config_of(settings), "ema": False}  # which has no effect on training
    plain = {**settings, "variant": "as written", "precision": "float32"}
    generator, discriminator = models = networks(plain, config)
    normalized = [[m for m in model.modules() if isinstance(m, layers.SN)] for model in models]

    def converge():
        for module in itertools.chain(*normalized):
            module.u0.copy_(torch_parity.first_singular_vectors(module.weight)[0])

    by_name = {"generator": generator, "discriminator": discriminator}
    torch_parity.begin(settings, by_name, converge)
    if "u" in settings["as_ours"]:
        torch_parity.keep_vectors(discriminator, normalized[1], ("u0",), calls=2)
    if "variance" in settings["as_ours"]:
        norms = [m for m in generator.modules() if hasattr(m, "stored_var")]
        torch_parity.divide_variances_by_count(norms, "stored_var")
    return lockstep.turns(settings, _steps(settings, config, by_name))


def _steps(settings, config, by_name):
    import BigGAN
    import train_fns

    fed = lockstep.inputs(settings)
    steps, batch = fed["images"].shape[:2]

    def drawn(what):
        """What is drawn for both updates of each step, in a tensor that goes on by itself."""
        names = (f"discriminator_{what}", f"generator_{what}")
        draws = (fed[name][step] for step in range(1, steps) for name in names)
        values = torch_parity.tensors(settings, fed[names[0]][0]).clone()
        values.sample_ = lambda: values.copy_(torch_parity.tensors(settings, next(draws)))
        return values

    generator, discriminator = by_name["generator"], by_name["discriminator"]
    train = train_fns.GAN_training_function(
        generator,
        discriminator,
        BigGAN.G_D(generator, discriminator),
        drawn("latents"),
        drawn("labels"),
        None,
        {"itr": 1},
        config,
    )
    yield torch_parity.arrays(by_name)
    for step in range(1, steps):
        images, labels = (
            torch_parity.tensors(settings, fed[name][step]) for name in ("images", "labels")
        )
        with torch_parity.outputs_of(discriminator) as logits:
            losses = train(images, labels)
        both, of_generator = (values.detach().numpy()[:, 0] for values in logits)
        yield {
            "discriminator_loss": losses["D_loss_real"] + losses["D_loss_fake"],
            "generator_loss": losses["G_loss"],
            "real_logits": both[batch:],
            "fake_logits": both[:batch],
            "generator_logits": of_generator,
            **torch_parity.arrays(by_name),
        }


if __name__ == "__main__":
    take_turns(prepare)
