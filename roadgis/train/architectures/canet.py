"""CANet: Attention-guided Chained Context Aggregation (Tang et al. 2020, arXiv 2002.12041).

Differences from the paper:

- **Encoder.** The paper's is a ResNet dilated so that its last features are at 1/8.
  segmentation-models' encoders are not dilated; `depth` chooses the stage that is taken instead:
  1/16 as a rule (1/8 with a depth of 3, 1/32 with 5). A 3 by 3 convolution brings it to the
  width of the flows.
- **Chained Context Aggregation Module.** The global flow is the mean over the image, through a
  1 by 1 convolution, spread over the features. It has no batch normalization: with one pooled
  value for each image that would normalize over a handful of values. Context flows at the scales
  3, 5 and 7 follow; each takes the features and the flow before it (pre-fusion): mean
  over scale by scale pixels, two 3 by 3 convolutions, channel attention. The paper pools with
  a stride of the scale and interpolates back; here the mean slides with a stride of 1 and the
  convolutions are dilated by the scale instead, which sees the same surroundings, does not depend
  on where the tile's border falls, and takes any multiple of the encoder's stride. Features and
  previous flow are added, not concatenated.
- **Re-fusion.** The flows are summed and selected: 3 by 3 convolution, squeeze (mean), 1 by 1
  convolution, sigmoid, product, plus the input.
- **Asymmetric decoder.** Low-level features at 1/4 get few channels, weighed by attention that
  the high-level features give; the high-level ones are interpolated to 1/4, both are
  concatenated and convolved twice. The classes are interpolated to the full size.

Dropout and the auxiliary loss are left out.
"""

from __future__ import annotations

from typing import Any

from roadgis.train.architectures.encoders import build_encoder, cut_encoder, encoder_taps
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.framework import import_keras, upsample_bilinear

_SCALES = (3, 5, 7)
_LOW_STRIDE = 4
# Channels of a flow per channel of its attention bottleneck, as in squeeze-and-excitation.
_REDUCTION = 16


def build_canet(options: ArchitectureOptions) -> Any:
    """Build CANet on an encoder of segmentation-models; see the module's docstring."""
    keras = import_keras()
    layers = keras.layers
    flow_width, decoder_width, low_width = options.filters
    norm = options.batch_norm

    whole = build_encoder(
        options.backbone,
        (None, None, options.bands),
        options.encoder_weights,
        options.encoder_units,
    )
    encoder, _ = cut_encoder(whole, options.backbone, options.stages)
    low = encoder.get_layer(encoder_taps(options.backbone)[2]).output

    high = _convolution(encoder.output, flow_width, "context_input", norm)
    high = aggregate_context(high, norm)

    gate = layers.GlobalAveragePooling2D(keepdims=True, name="decoder_gate_mean")(high)
    gate = layers.Conv2D(low_width, 1, activation="sigmoid", name="decoder_gate")(gate)
    low = _convolution(low, low_width, "decoder_low", norm)
    low = layers.Multiply(name="decoder_low_gated")([low, gate])
    high = upsample_bilinear(high, 2**options.stages // _LOW_STRIDE, "decoder_upsampling")
    x = layers.Concatenate(name="decoder_concat")([high, low])
    x = _convolution(x, decoder_width, "decoder_a", norm)
    x = _convolution(x, decoder_width, "decoder_b", norm)
    x = layers.Conv2D(options.classes, 1, name="final_conv")(x)
    x = upsample_bilinear(x, _LOW_STRIDE, "final_upsampling")
    x = layers.Activation(options.activation, dtype="float32", name=options.activation)(x)
    return keras.Model(encoder.input, x)


def aggregate_context(features: Any, norm: bool) -> Any:
    """Apply the Chained Context Aggregation Module: chained flows, summed and selected."""
    layers = import_keras().layers
    width = features.shape[-1]
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="context_global_mean")(features)
    flow = layers.Conv2D(
        width, 1, activation="relu", kernel_initializer="he_uniform", name="context_global_conv"
    )(mean)
    flows = [flow]
    for scale in _SCALES:
        name = f"context_flow{scale}"
        x = layers.Add(name=f"{name}_input")([features, flow])
        x = layers.AveragePooling2D(scale, strides=1, padding="same", name=f"{name}_mean")(x)
        x = _convolution(x, width, f"{name}a", norm, dilation=scale)
        x = _convolution(x, width, f"{name}b", norm, dilation=scale)
        flow = _attend(x, name)
        flows.append(flow)
    # The global flow is 1 by 1 pixel and is broadcast by the addition.
    x = layers.Add(name="context_sum")(flows[1:])
    x = layers.Add(name="context_sum_global")([x, flows[0]])
    x = _convolution(x, width, "context_selection", norm)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="context_selection_mean")(x)
    gate = layers.Conv2D(width, 1, activation="sigmoid", name="context_selection_gate")(gate)
    chosen = layers.Multiply(name="context_selection_gated")([x, gate])
    return layers.Add(name="context_selected")([chosen, x])


def _attend(x: Any, name: str) -> Any:
    """Weigh the channels by their mean over the image."""
    layers = import_keras().layers
    width = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_gate_mean")(x)
    gate = layers.Conv2D(
        max(1, width // _REDUCTION), 1, activation="relu", name=f"{name}_gate_reduce"
    )(gate)
    gate = layers.Conv2D(width, 1, activation="sigmoid", name=f"{name}_gate")(gate)
    return layers.Multiply(name=f"{name}_gated")([x, gate])


def _convolution(x: Any, width: int, name: str, norm: bool, dilation: int = 1) -> Any:
    layers = import_keras().layers
    x = layers.Conv2D(
        width,
        3,
        padding="same",
        dilation_rate=dilation,
        use_bias=not norm,
        kernel_initializer="he_uniform",
        name=f"{name}_conv",
    )(x)
    if norm:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
