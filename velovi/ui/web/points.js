// Cells as points, drawn by WebGL 2 from five bytes a cell.
// Part of veloVI Explorer, BSD-3-Clause.

import { UNSELECTED } from "./draw_order.js";

const VERTEX = `#version 300 es
layout(location=0) in vec2 place;
layout(location=1) in float code;
layout(location=2) in float chosen;
uniform vec4 camera;
uniform float size;
uniform float opacity;
uniform float dimming;
uniform float unselected;
uniform sampler2D palette;
out vec4 colour;
out float sharpness;
void main() {
  vec4 own = texelFetch(palette, ivec2(int(code + 0.5), 0), 0);
  float dim = dimming * (1.0 - chosen);
  float wide = size + 1.5 * dimming * chosen;
  bool hidden = own.a < 0.5 || place.x < -1.0;
  gl_Position = hidden ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(place * camera.xy + camera.zw, 0.0, 1.0);
  gl_PointSize = wide;
  colour = vec4(own.rgb, mix(opacity, min(1.0, opacity + 0.2), dimming * chosen) * mix(1.0, unselected, dim));
  sharpness = wide;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
in float sharpness;
out vec4 result;
void main() {
  float edge = sharpness < 2.5 ? 1.0
    : 1.0 - smoothstep(1.0 - 2.0 / sharpness, 1.0, 2.0 * length(gl_PointCoord - 0.5));
  if (edge <= 0.0) discard;
  result = vec4(colour.rgb * colour.a * edge, colour.a * edge);
}`;

function compile(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS))
    throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

export class Points {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", {
      antialias: false,
      preserveDrawingBuffer: true,
      premultipliedAlpha: true,
    });
    if (!gl) throw new Error("no WebGL 2");
    this.canvas = canvas;
    this.gl = gl;
    this.setUp();
  }
  setUp() {
    const gl = this.gl;
    const program = gl.createProgram();
    gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(
      ["camera", "size", "opacity", "dimming", "unselected"].map((name) => [
        name,
        gl.getUniformLocation(program, name),
      ]),
    );
    this.buffers = [0, 1, 2].map(() => gl.createBuffer());
    this.order = gl.createBuffer();
    this.preview = gl.createBuffer();
    const formats = [
      [2, gl.SHORT, true, 4],
      [1, gl.UNSIGNED_BYTE, false, 1],
      [1, gl.UNSIGNED_BYTE, false, 1],
    ];
    formats.forEach(([count, type, normal, stride], i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, count, type, normal, stride, 0);
    });
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
  fill(i, values) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  }
  setPreview(order) {
    this.fillOrder(this.preview, order);
    this.counts = [order.length, order.length];
    this.whole = this.preview;
  }
  setOrder(order) {
    this.fillOrder(this.order, order);
    this.counts[0] = order.length;
    this.whole = this.order;
  }
  fillOrder(buffer, order) {
    const gl = this.gl;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.STATIC_DRAW);
  }
  setPalette(rgba) {
    const gl = this.gl;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  }
  draw(camera, size, opacity, dimming, quick) {
    const gl = this.gl;
    if (gl.isContextLost() || !this.counts) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(this.at.camera, ...camera);
    gl.uniform1f(this.at.size, size);
    gl.uniform1f(this.at.opacity, opacity);
    gl.uniform1f(this.at.dimming, dimming ? 1 : 0);
    gl.uniform1f(this.at.unselected, UNSELECTED);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, quick ? this.preview : this.whole);
    gl.drawElements(gl.POINTS, this.counts[quick ? 1 : 0], gl.UNSIGNED_INT, 0);
  }
  free() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
