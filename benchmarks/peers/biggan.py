"""github.com/ajbrock/BigGAN-PyTorch with its SAGAN settings, its own modules from a clone.

"as written" is its train_fns.py with the arguments of scripts/launch_SAGAN_bs128x2_ema.sh on one
device, without accumulation. "tuned" has PyTorch's own spectral norm, channels-last and no averaged
copy of the generator; "compiled" adds torch.compile.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from peers import torch_tools
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
    tasks = {"train_step": train_step, "sample": sample, "attention": attention}
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


if __name__ == "__main__":
    take_turns(prepare)
