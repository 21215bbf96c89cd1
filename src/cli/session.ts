import type { Command } from 'commander'
import { type ConfigFlags, type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type ControlClient, createControlClient } from '../control/client.ts'
import type { ControlMode, Io } from './io.ts'
import { createStyle, type Style, wantsColour } from './output/style.ts'
import { type Column, renderTable } from './output/table.ts'

/** Flags that every subcommand takes. */
export interface GlobalFlags extends ConfigFlags {
  readonly json?: boolean
  readonly color?: boolean
}

/** One run of a subcommand: its configuration, its way to the control plane, its output. */
export interface Session {
  readonly io: Io
  readonly json: boolean
  /** For standard output. */
  readonly style: Style
  /** For standard error. */
  readonly errorStyle: Style
  /** Loads the configuration once; its warnings go to standard error. */
  configuration(): LoadedConfig
  /** Calls the control plane and closes the way to it afterwards. */
  control<Result>(work: (client: ControlClient, config: Config) => Promise<Result>, mode?: ControlMode): Promise<Result>
  print(text: string): void
  /** One JSON document. */
  printJson(value: unknown): void
  /** The document with --json, else the text. */
  show(value: unknown, text: () => string): void
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string
}

/** The session of a command that runs, from its own flags and those before it. */
export function openSession(io: Io, command: Command): Session {
  const flags = command.optsWithGlobals<GlobalFlags>()
  const style = createStyle(wantsColour(io.stdout.isTTY === true, io.env, flags.color))
  const errorStyle = createStyle(wantsColour(io.stderr.isTTY === true, io.env, flags.color))
  let loaded: LoadedConfig | null = null
  const session: Session = {
    io,
    json: flags.json === true,
    style,
    errorStyle,
    configuration() {
      if (loaded !== null) return loaded
      loaded = loadConfig({ flags, env: io.env, userHome: io.userHome, cwd: io.cwd, readFile: io.readFile })
      for (const warning of loaded.warnings) io.stderr.write(`${errorStyle.yellow('warning:')} ${warning}\n`)
      return loaded
    },
    async control(work, mode = 'any') {
      const { config } = session.configuration()
      const channel = await io.openControl(config, mode)
      try {
        return await work(
          createControlClient(request => channel.send(request), channel.operatorToken()),
          config,
        )
      } finally {
        await channel.close()
      }
    },
    print: text => void io.stdout.write(text),
    printJson: value => void io.stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    show(value, text) {
      if (session.json) session.printJson(value)
      else session.print(text())
    },
    table: (columns, rows) =>
      renderTable(columns, rows, io.stdout.isTTY === true ? io.stdout.columns || 80 : null, style),
  }
  return session
}
