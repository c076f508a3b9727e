// What every entry is told: one structure.  Python reads its fields, and the codes, from this text,
// so that the two cannot differ: a field stands on a line of its own and has constant sizes.
#pragma once

// Versions of the loops: by lattice factor, by amplitudes, by the factors that go with every term
// (none; each term its own; C's running product).
enum { FEW_ODD, FEW, GRATING, SPHERE, GAUSS, TOPHAT, NODES, CARD_GRATING, CARD_GAUSS };
enum { CONSTANT, NEAREST, TRICUBIC };
enum { ONCE, EACH, PRODUCTS };

// Numbers of a row of the orientations (cell vectors a, b, c in m, weight), and of a row
// of the sources: direction, 1 / wavelength, weight, electric and magnetic direction, and where its
// amplitudes begin in the table.
enum { AXES_ROW = 10, SOURCE_ROW = 12 };

struct Params {
  // The tile's panel: unit vectors, the outer corner of the first pixel and lengths, in metres; the
  // edges of a sub-pixel, and the area of a pixel.
  double fast[3];
  double slow[3];
  double normal[3];
  double origin[3];
  double beam[3];
  double sub_fast;
  double sub_slow;
  double area;
  double distance;
  double close_distance;
  double layer_step;
  // Absorption of one layer at normal incidence; below 0: no sensor thickness is modelled.
  double depth;
  double kahn;
  double dmin;
  // What multiplies every term.
  double height;
  // The crystal: cells along each axis; the quadratic form of gauss and tophat spots as the squared
  // length of R (dh, dk, dl), R triangular, by rows, and its sign; polynomials of few cells, and
  // where their number is even.
  double cells[3];
  double fudge;
  double triangle[6];
  double sign;
  // Of spherical spots: from indices to the basis of nodes, and back.
  double to_nodes[3][3];
  double from_nodes[3][3];
  double few[3][5];
  double even[3];
  double per_cell;
  // Amplitude outside the list, bounds of interpolation.
  double default_squared;
  double low[3];
  double high[3];
  // What a sum starts from, and photons per unit of it.
  double background;
  double scale;
  // Diffuse scattering over the height.
  double diffuse;
  // Amplitude grid: indices of its first place, last place along each axis, steps between
  // neighbours.
  int minimum[3];
  int last[3];
  int stride_h;
  int stride_k;
  int whole_cells[3];
  int curved;
  int point_pixel;
  int oversample;
  int layers;
  int sources;
  int turns;
  int each_thick;
  int each_polar;
  int each_omega;
  int polarized;
  int weighted;
  int skip_zero;
  // The range of steps: sub-pixels of layers, sources of the first and last of them, orientations
  // of the first and last of these.
  int outer0;
  int outer1;
  int source0;
  int source1;
  int turn0;
  int turn1;
  // The tile: first pixel, width, pixels to be evaluated, whether they are listed.
  int slow0;
  int fast0;
  int width;
  int count;
  int listed;
  // The version of the loops.
  int lattice;
  int amplitude;
  int factors;
  int degree;
  int pairs;
  // Diffuse scattering: rotations of the Laue group (0: none), where their numbers stand in the
  // table of amplitudes, how many reciprocal cells halos reach.
  int laue;
  int laue_at;
  int stencil;
};
