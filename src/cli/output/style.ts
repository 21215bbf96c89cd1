import { stripVTControlCharacters, styleText } from 'node:util'

/** Ways to set text apart; each gives the text back unchanged where colour is off. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly cyan: (text: string) => string
}

/** Colour or none: the caller decides, by terminal, NO_COLOR and --no-color. */
export function createStyle(colour: boolean): Style {
  const paint = (format: keyof Style) => (text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  }
}

/** Whether to colour what goes to a stream. https://no-color.org: any NO_COLOR but the empty one turns colour off. */
export function wantsColour(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
  flag: boolean | undefined,
): boolean {
  if (flag === false || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb') return false
  return isTerminal
}

/** Columns that a text takes on a terminal; colours take none. Counts code points, so wide scripts count short. */
export function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length
}

/** Text from elsewhere without control characters, which could rewrite the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to go
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}

/** The same for text in several lines, as a model writes it: newlines and tabs stay. */
export function printableLines(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to go
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
}
